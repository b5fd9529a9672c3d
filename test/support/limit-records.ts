/** What one process was answered by Redis for the calls of one script. */
export interface Recorded {
  readonly name: string;
  /** Whose limit it is, as the key in Redis names it. */
  readonly subject: string;
  /** The server's time of the decision. */
  readonly atUs: number;
  readonly units: number;
  /** The answer to a script that had been executed before: its time is not that of the charge. */
  readonly isRepeat: boolean;
  /** The limit that the call was decided by. */
  readonly limit: number;
  /** µs until the turn of the first call, on a paced limit. */
  readonly dueUs: number;
}

/** The calls of one process. */
export interface Flooded {
  allowed: number;
  refused: number;
  undecided: number;
}

/** The limits of a fleet: a ring, a larger one, and slots. `most`: the highest cost of a call. `calls`: of one process at once. */
export const LIMITS = [
  { name: 'ring', limit: 5, perMs: 1_000, most: 2, calls: 2 },
  { name: 'full-ring', limit: 60, perMs: 1_000, most: 3, calls: 5 },
  { name: 'slots', limit: 10_000, perMs: 1_000, most: 400, calls: 20 },
] as const;

/** The most units of one subject in any window of `perMs`, half open. Repeats are left out. */
export function worstWindow(records: readonly Recorded[], perMs: number): number {
  const subjects = new Map<string, Recorded[]>();
  for (const record of records) {
    const own = subjects.get(record.subject);
    if (own === undefined) subjects.set(record.subject, [record]);
    else own.push(record);
  }
  return Math.max(0, ...[...subjects.values()].map((own) => worstOf(own, perMs)));
}

function worstOf(records: readonly Recorded[], perMs: number): number {
  const known = records.filter(({ isRepeat }) => !isRepeat).sort((a, b) => a.atUs - b.atUs);
  let [most, inside, first] = [0, 0, 0];
  for (const { atUs, units } of known) {
    inside += units;
    for (
      let oldest = known[first];
      oldest !== undefined && oldest.atUs <= atUs - perMs * 1_000;
      oldest = known[first]
    ) {
      inside -= oldest.units;
      first++;
    }
    most = Math.max(most, inside);
  }
  return most;
}

/**
 * Sets the clock of the server back, as far as its rate limits can tell: what they remember lies that much later. KEYS the limits, ARGV
 * the µs.
 */
export const SET_BACK = `
for _, key in ipairs(KEYS) do
  local text, by = redis.call('GET', key), tonumber(ARGV[1])
  local tag = text and string.sub(text, 1, 1)
  if tag == 'r' then
    local born, base = struct.unpack('<dd', text, 2)
    text = 'r' .. struct.pack('<dd', born + by, base + math.floor(by / 1000)) .. string.sub(text, 18)
  elseif tag == 's' then
    local born, width, last = struct.unpack('<ddd', text, 2)
    local slots = math.floor(by / width)
    text = 's' .. struct.pack('<ddd', born + by, width, last + slots) .. string.sub(text, 26)
  end
  if tag then redis.call('SET', key, text, 'PX', redis.call('PTTL', key) + math.ceil(by / 1000)) end
end
return #KEYS
`;
