/** How many slots a Redis Cluster has. */
export const CLUSTER_SLOTS = 16_384;

/**
 * The slot of a key, as `CLUSTER KEYSLOT` computes it: CRC16 of the hash tag, the text in the key's first `{…}`. A key without
 * a tag, or with an empty one (`{}`), is hashed as a whole.
 *
 * @see https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#hash-tags
 * @example
 * slotOf('{shop:orders}:~alive') === slotOf('shop:orders'); // true
 */
export function slotOf(key: string): number {
  const hashed = hashedPart(key);
  let crc = 0;
  for (const byte of Buffer.from(hashed)) crc = ((crc << 8) & 0xff_ff) ^ (CRC16[(crc >> 8) ^ byte] ?? 0);
  return crc % CLUSTER_SLOTS;
}

function hashedPart(key: string): string {
  const open = key.indexOf('{');
  if (open === -1) return key;
  const close = key.indexOf('}', open + 1);
  return close > open + 1 ? key.slice(open + 1, close) : key;
}

/** CRC16/XMODEM: polynomial 0x1021, starts at 0. */
const CRC16 = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8;
  for (let bit = 0; bit < 8; bit++) crc = (crc & 0x80_00) === 0 ? crc << 1 : (crc << 1) ^ 0x10_21;
  return crc;
});
