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

/** Reads a message back; `undefined` when it is not one. */
export function unframe(message: Buffer): Buffer[] | undefined {
  const parts: Buffer[] = [];
  let at = 0;
  while (at < message.length) {
    const colon = message.indexOf(0x3a, at);
    const length = colon < 0 || colon === at ? NaN : Number(message.toString('latin1', at, colon));
    const end = colon + 1 + length;
    if (!Number.isSafeInteger(length) || length < 0 || end > message.length) return undefined;
    parts.push(message.subarray(colon + 1, end));
    at = end;
  }
  return parts.length > 0 ? parts : undefined;
}
