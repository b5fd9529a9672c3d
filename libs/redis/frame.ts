/**
 * Inbox messages: a sequence of byte strings, each as a netstring without its comma, `<length>:<bytes>`.
 * The first is the kind, the rest its parts. Binary-safe, and Lua can write it without a library.
 *
 * @see https://cr.yp.to/proto/netstrings.txt
 */

/**
 * Lua: `frame(kind, part, …)` makes a message. `#s` prints exactly: `%.14g` holds any length below 10^14.
 */
export const FRAME_LUA = `
local function frame(...)
  local out = {}
  for i = 1, select('#', ...) do
    local part = tostring(select(i, ...))
    out[i] = #part .. ':' .. part
  end
  return table.concat(out)
end
`;

/** The same in TypeScript, for messages that are not sent by a script. */
export function frame(...parts: (string | Buffer)[]): Buffer {
  const out: Buffer[] = [];
  for (const part of parts) {
    const bytes = typeof part === 'string' ? Buffer.from(part) : part;
    out.push(Buffer.from(`${bytes.length}:`), bytes);
  }
  return Buffer.concat(out);
}

const COLON = 0x3a;
const ZERO = 0x30;

/** Reads a message back; `undefined` when it is not one. Digit by digit: ten processes may be waiting for as many messages. */
export function unframe(message: Buffer): Buffer[] | undefined {
  const parts: Buffer[] = [];
  for (let at = 0; at < message.length;) {
    let length = 0;
    const from = at;
    for (; message[at] !== COLON; at++) {
      // Past the end it is NaN, which is no digit either.
      const digit = (message[at] ?? Number.NaN) - ZERO;
      if (!(digit >= 0 && digit <= 9)) return undefined;
      length = length * 10 + digit;
    }
    const end = at + 1 + length;
    if (at === from || end > message.length) return undefined;
    parts.push(message.subarray(at + 1, end));
    at = end;
  }
  return parts.length > 0 ? parts : undefined;
}
