/** Finds the names of the commands that a client sends, in RESP or inline, however the bytes are split. */
export class Commands {
  #line = '';
  /** Bytes of the current argument that are still to come, with its line end. */
  #missing = 0;
  /** Arguments of the current command that are still to come. */
  #left = 0;
  #name: string | undefined;
  #first = '';

  /** The names of the commands that end in these bytes, in lower case. */
  read(bytes: Buffer): string[] {
    const names: string[] = [];
    for (let at = 0; at < bytes.length;) {
      if (this.#missing > 0) at += this.#argument(bytes, at, names);
      else at += this.#header(bytes, at, names);
    }
    return names;
  }

  #argument(bytes: Buffer, at: number, names: string[]): number {
    const length = Math.min(this.#missing, bytes.length - at);
    if (this.#name === undefined) this.#first += bytes.toString('latin1', at, at + length);
    this.#missing -= length;
    if (this.#missing > 0) return length;
    this.#name ??= this.#first.trim().toLowerCase();
    this.#left--;
    if (this.#left === 0) names.push(this.#name);
    return length;
  }

  #header(bytes: Buffer, at: number, names: string[]): number {
    const end = bytes.indexOf(10, at);
    this.#line += bytes.toString('latin1', at, end < 0 ? bytes.length : end + 1);
    if (end < 0) return bytes.length - at;
    const line = this.#line.trim();
    this.#line = '';
    if (line.startsWith('$')) this.#missing = Number(line.slice(1)) + 2;
    else if (line.startsWith('*')) this.#begin(Number(line.slice(1)));
    else if (line !== '') names.push(line.split(' ', 1)[0]?.toLowerCase() ?? '');
    return end + 1 - at;
  }

  #begin(count: number): void {
    this.#left = count;
    this.#name = undefined;
    this.#first = '';
  }
}
