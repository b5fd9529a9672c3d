import { spawn } from 'node:child_process';
import { once } from 'node:events';

/**
 * Starts the program. When the other end of standard input closes, it ends the program and removes its folder ($1).
 *
 * This process has that end open, and the kernel closes it however this process dies. Node opens it close-on-exec,
 * so no child that is forked later keeps it open. The shell has its own session: a Ctrl-C in the terminal reaches this
 * process alone. `read` is built into the shell: the watcher is one process and ends as soon as it is killed. Once
 * woken, the watcher finishes its work, although the end of the program makes the shell end the watcher. The process that
 * becomes the program prints the pid itself: the shell might print it after the first output of the program.
 */
const GUARD = `
folder=$1
shift
exec 3<&0 </dev/null
sh -c 'echo "$$"; exec "$@"' program "$@" 3<&- &
program=$!
{ read -r _; trap '' TERM; kill -KILL $program; rm -rf "$folder"; } <&3 >/dev/null 2>&1 &
watcher=$!
exec 3<&-
wait $program
code=$?
kill $watcher
exit $code
`;

/** A program that ends with this process. */
export interface GuardedProcess {
  readonly pid: number;
  readonly exited: boolean;
  /** The end of its standard output and error. */
  output(): string;
  signal(signal: NodeJS.Signals): void;
  /** Sends `signal`, and SIGKILL if that does not end it within 5 s; resolves when the program is gone. */
  end(signal: NodeJS.Signals): Promise<void>;
  /** Lets this process exit while the program runs. The program then ends too. */
  unref(): void;
}

const PATIENCE_MS = 5_000;

/** Starts `command`. If this process dies first, the program ends and `folder` is removed. */
export async function launchGuarded(folder: string, command: string, args: readonly string[]): Promise<GuardedProcess> {
  const shell = spawn('sh', ['-c', GUARD, 'guard', folder, command, ...args], { detached: true, stdio: 'pipe' });
  let tail = '';
  let gone = false;
  const exit = once(shell, 'exit').then(() => {
    gone = true;
  });
  const pid = await new Promise<number>((resolve, reject) => {
    let first = '';
    const keep = (chunk: Buffer): void => {
      tail = (tail + chunk.toString()).slice(-4_096);
    };
    const untilPid = (chunk: Buffer): void => {
      first += chunk.toString();
      const end = first.indexOf('\n');
      if (end < 0) return;
      shell.stdout.off('data', untilPid).on('data', keep);
      keep(Buffer.from(first.slice(end + 1)));
      resolve(Number(first.slice(0, end)));
    };
    shell.stdout.on('data', untilPid);
    shell.stderr.on('data', keep);
    shell.stdin.on('error', () => {});
    shell.once('error', reject);
  });

  const send = (signal: NodeJS.Signals): void => {
    if (gone) return;
    try {
      process.kill(pid, signal);
    } catch (error) {
      // The program has ended. The event has not arrived yet.
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  };

  return {
    pid,
    get exited() {
      return gone;
    },
    output: () => tail,
    signal: send,
    async end(signal) {
      if (gone) return;
      shell.ref();
      send(signal);
      // A frozen program acts on no signal but SIGKILL.
      if (signal !== 'SIGKILL') send('SIGCONT');
      const timer = setTimeout(send, PATIENCE_MS, 'SIGKILL');
      await exit;
      clearTimeout(timer);
    },
    unref() {
      shell.unref();
      for (const stream of [shell.stdin, shell.stdout, shell.stderr]) {
        (stream as unknown as { unref(): void }).unref();
      }
    },
  };
}
