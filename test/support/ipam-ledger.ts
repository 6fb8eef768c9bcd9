/** What the callers of several hosts know of a pool that these share: who was told that he has which address. */

export class IpamLedger {
  /** Who holds each address: from the answer on, until he begins to give it back. */
  readonly holders = new Map<string, string>();
  /** What must not have happened. */
  readonly problems: string[] = [];
  /** Requests whose answer nobody heard, as their host was killed: they may have been done. */
  readonly unheard = { requests: 0, releases: 0 };
  /** Answers that say that it was done. */
  done = 0;
  /** Answers that say that it was not, and how long their callers waited: milliseconds. */
  readonly refusals: { readonly text: string; readonly ms: number }[] = [];

  given(address: string, host: string): void {
    this.done++;
    const holder = this.holders.get(address);
    if (holder !== undefined) this.problems.push(`${address} was given to ${host} while ${holder} had it`);
    this.holders.set(address, host);
  }

  givenBack(address: string): void {
    this.holders.delete(address);
  }

  /** Addresses of a host, in order. */
  heldBy(host: string): string[] {
    return [...this.holders].flatMap(([address, holder]) => (holder === host ? [address] : [])).sort();
  }
}
