import { Command } from 'ioredis';

export type CommandArg = string | number | Buffer;

/**
 * A command and its arguments as they go over the wire: made once, sent many times. For an idle process that asks the same of a
 * thousand queues each second, making the text anew was a third of its processor time.
 */
export class EncodedCommand {
  readonly #name: string;
  readonly #bytes: Buffer;

  constructor(name: string, args: readonly string[]) {
    this.#name = name;
    this.#bytes = Buffer.from(new Command(name, [...args]).toWritable({}));
  }

  /** The name of the command. */
  toString(): string {
    return this.#name;
  }

  /** The command of ioredis for one call of it. */
  toCommand(): Command {
    const command = new Command(this.#name, [], { replyEncoding: 'utf8' });
    command.toWritable = () => this.#bytes;
    return command;
  }
}

/** The command of ioredis for one call. */
export function commandOf(command: string | EncodedCommand, args: readonly CommandArg[], buffers: boolean): Command {
  if (typeof command !== 'string') return command.toCommand();
  return new Command(command, args as CommandArg[], { replyEncoding: buffers ? null : 'utf8' });
}
