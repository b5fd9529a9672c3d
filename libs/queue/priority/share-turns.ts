/**
 * Decides whose turn it is among members that compete for places, so that each gets places in proportion to its share.
 *
 * Each member has a mark: how many places it has had, divided by its share. The member with the lowest mark is next. The members that
 * compete draw a common line, the lowest of their marks; it never falls. Who had nothing to do for a while begins at that line: the
 * time that it missed gives it no claim, so it cannot keep the others out. Who alone has something to do gets every place, and the line
 * goes with it.
 *
 * With `n` members, no member that competes waits for more places than `(sum of all shares) / (its share) + n`.
 */
export class ShareTurns<Member> {
  readonly #shareOf: (member: Member) => number;
  readonly #marks = new Map<Member, number>();
  #line = 0;

  constructor(shareOf: (member: Member) => number) {
    this.#shareOf = shareOf;
  }

  /** Which of the members that compete gets the next place; undefined: there are none. */
  next(competing: readonly Member[]): Member | undefined {
    this.#drawLine(competing);
    return this.#lowest(competing, (member) => this.#markOf(member));
  }

  /** How many of the next `places` each of the members that compete gets. Nothing is taken by that. */
  divide(competing: readonly Member[], places: number): ReadonlyMap<Member, number> {
    this.#drawLine(competing);
    const marks = new Map(competing.map((member) => [member, this.#markOf(member)]));
    const parts = new Map(competing.map((member) => [member, 0]));
    for (let i = 0; i < places; i++) {
      const member = this.#lowest(competing, (each) => marks.get(each) ?? 0);
      if (member === undefined) break;
      parts.set(member, (parts.get(member) ?? 0) + 1);
      marks.set(member, (marks.get(member) ?? 0) + 1 / this.#shareOf(member));
    }
    return parts;
  }

  /** The member got this many places. */
  took(member: Member, places = 1): void {
    this.#marks.set(member, this.#markOf(member) + places / this.#shareOf(member));
  }

  #markOf(member: Member): number {
    return Math.max(this.#line, this.#marks.get(member) ?? 0);
  }

  #drawLine(competing: readonly Member[]): void {
    if (competing.length > 0)
      this.#line = Math.max(this.#line, Math.min(...competing.map((each) => this.#markOf(each))));
  }

  /** Of equal ones, the member with the larger share. */
  #lowest(members: readonly Member[], markOf: (member: Member) => number): Member | undefined {
    let best: Member | undefined;
    let least = Infinity;
    for (const member of members) {
      const mark = markOf(member);
      // Marks are sums of fractions: what differs by less than a millionth is the same.
      const isLower = mark < least - 1e-6;
      const isEqual = !isLower && mark < least + 1e-6;
      if (isLower || (isEqual && best !== undefined && this.#shareOf(member) > this.#shareOf(best))) {
        best = member;
        least = mark;
      }
    }
    return best;
  }
}
