import { defineFragment, lua } from '../script/fragment.js';

/**
 * Inbox messages: a sequence of texts, each as a netstring without its comma, `<length in bytes>:<bytes>`.
 * The first is the kind, the rest its parts. Any text may be a part, and Lua can write it without a library.
 *
 * @see https://cr.yp.to/proto/netstrings.txt
 */

/** `frame(kind, part, …)` makes a message. `#part` prints exactly: `%.14g` holds any length below 10^14. */
export const FRAME = defineFragment({
  name: 'frame',
  lua: lua`
local function frame(...)
  local out = {}
  for i = 1, select('#', ...) do
    local part = tostring(select(i, ...))
    out[i] = #part .. ':' .. part
  end
  return table.concat(out)
end
`,
});

/** The same in TypeScript, for messages that are not sent by a script. */
export function frame(...parts: string[]): Buffer {
  return Buffer.from(parts.map((part) => `${Buffer.byteLength(part)}:${part}`).join(''));
}

const COLON = 0x3a;
const ZERO = 0x30;

/**
 * Reads a message back, with its parts as text; `undefined` if the bytes are not a message. For speed, lengths are read digit by
 * digit, and the text is converted once where that is enough: ten processes may be waiting for as many messages.
 */
export function unframe(message: Buffer): string[] | undefined {
  const text = message.toString();
  // If there are as many characters as bytes, each character has the index of its byte.
  const isAligned = text.length === message.length;
  const parts: string[] = [];
  for (let at = 0; at < message.length;) {
    let length = 0;
    const from = at;
    for (; message[at] !== COLON; at++) {
      // Past the end of the message, the result is NaN, which is not a digit either.
      const digit = (message[at] ?? Number.NaN) - ZERO;
      if (!(digit >= 0 && digit <= 9)) return undefined;
      length = length * 10 + digit;
    }
    const end = at + 1 + length;
    if (at === from || end > message.length) return undefined;
    parts.push(isAligned ? text.slice(at + 1, end) : message.toString('utf8', at + 1, end));
    at = end;
  }
  return parts.length > 0 ? parts : undefined;
}
