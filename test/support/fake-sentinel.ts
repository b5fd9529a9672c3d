import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';

const text = (word: string | number): string => `$${String(word).length}\r\n${word}\r\n`;
const list = (words: readonly (string | number)[]): string => `*${words.length}\r\n${words.map(text).join('')}`;

/** What one Sentinel says, as far as clients ask: where the primary is, and that it was switched. It can hang. */
export class FakeSentinel {
  /** Where it says that the primary is. */
  primary: number;
  /** How long it takes to answer what comes in one write, in milliseconds. */
  delayMs = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #subscribers = new Set<Socket>();
  #held: (() => void)[] | undefined;
  #questions = 0;

  private constructor(server: Server, primary: number) {
    this.#server = server;
    this.primary = primary;
    server.on('connection', (socket) => {
      this.#sockets.add(socket);
      // What is told is on its way when `tell` returns.
      socket.setNoDelay(true);
      socket.on('error', () => {});
      socket.on('close', () => {
        this.#sockets.delete(socket);
        this.#subscribers.delete(socket);
      });
      socket.on('data', (bytes) => {
        const answer = (): void => {
          for (const words of commandsIn(bytes.toString())) this.#answer(socket, words);
        };
        if (this.#held) this.#held.push(answer);
        else if (this.delayMs > 0) setTimeout(answer, this.delayMs);
        else answer();
      });
    });
  }

  static async at(primary: number): Promise<FakeSentinel> {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new FakeSentinel(server, primary);
  }

  get address(): { host: string; port: number } {
    return { host: '127.0.0.1', port: (this.#server.address() as AddressInfo).port };
  }

  /** How many times it was asked for the primary. */
  get questions(): number {
    return this.#questions;
  }

  /** How many clients wait to hear of a switch. */
  get listeners(): number {
    return this.#subscribers.size;
  }

  /** How many questions wait for an answer because it hangs. */
  get waiting(): number {
    return this.#held?.length ?? 0;
  }

  /** From now on it takes connections, and answers nothing. */
  hang(): void {
    this.#held ??= [];
  }

  /** It answers again, also what it was asked meanwhile. */
  goOn(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const answer of held) answer();
  }

  /** It tells that the primary of the group `main` is this one now. */
  switchTo(primary: number): void {
    this.primary = primary;
    this.tell(primary);
  }

  /** It tells of a switch, late or of another group: asked for the primary, it says what it said before. */
  tell(primary: number, name = 'main', host = '127.0.0.1'): void {
    const message = list(['message', '+switch-master', `${name} 127.0.0.1 1 ${host} ${primary}`]);
    for (const socket of this.#subscribers) socket.write(message);
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
  }

  #answer(socket: Socket, [command = '', about = '']: string[]): void {
    const what = `${command} ${about}`.toLowerCase();
    if (what.startsWith('hello')) socket.write("-ERR unknown command 'HELLO'\r\n");
    else if (what === 'sentinel get-master-addr-by-name') {
      this.#questions++;
      socket.write(list(['127.0.0.1', this.primary]));
    } else if (what === 'sentinel sentinels') socket.write('*0\r\n');
    else if (what.startsWith('subscribe')) {
      this.#subscribers.add(socket);
      socket.write(`*3\r\n${text('subscribe')}${text(about)}:1\r\n`);
    } else socket.write('+OK\r\n');
  }
}

/** The commands of one write of a client. */
function commandsIn(bytes: string): string[][] {
  const commands: string[][] = [];
  const lines = bytes.split('\r\n');
  for (let at = 0; lines[at]?.startsWith('*') === true;) {
    const words = Number(lines[at]?.slice(1));
    commands.push(lines.slice(at + 1, at + 1 + 2 * words).filter((_, i) => i % 2 === 1));
    at += 1 + 2 * words;
  }
  return commands;
}
