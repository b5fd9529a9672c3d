import { Logger } from '@nestjs/common';

/**
 * Nest's logger, whose methods never throw.
 *
 * The app may have set a logger of its own, and that one may throw: on a full disk, or on a message that it cannot serialize.
 * Sluice logs in the middle of more important work, such as settling a task or releasing a lock, and that work must go on.
 * The message then goes to stderr, with the error of the logger.
 */
export class SafeLogger extends Logger {
  override log(message: unknown): void {
    this.#try(message, () => {
      super.log(message);
    });
  }

  override debug(message: unknown): void {
    this.#try(message, () => {
      super.debug(message);
    });
  }

  override warn(message: unknown): void {
    this.#try(message, () => {
      super.warn(message);
    });
  }

  override error(message: unknown, stack?: string): void {
    this.#try(message, () => {
      if (stack === undefined) super.error(message);
      else super.error(message, stack);
    });
  }

  #try(message: unknown, write: () => void): void {
    try {
      write();
    } catch (thrown) {
      console.error(`[${this.context ?? 'Sluice'}]`, message, '(the logger of the app threw:', thrown, ')');
    }
  }
}
