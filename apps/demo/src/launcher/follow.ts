/** What a process of the fleet tells the launcher once it serves. */
export interface Serving {
  url: string;
}

/** The app's side of the launcher, which an app of your own does without: it says where it serves, and ends with it. */
export function followLauncher(url: string): void {
  if (!process.send) return;
  if (!process.connected) process.exit(1);
  // However the launcher ended: the kernel closes the channel after a SIGKILL too.
  process.once('disconnect', () => process.exit(1));
  process.send({ url } satisfies Serving);
}
