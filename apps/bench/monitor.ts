/** Every command that a server runs, as MONITOR tells of it. */
import { connect } from 'node:net';
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';

export interface Calls {
  /** Inner ones of scripts included. */
  all: number;
  /** Sent by a client. */
  sent: number;
}

/**
 * Counts the calls while `work` runs, but for `ignored` ones, by which the measuring side looks how far it is. On a bare
 * socket: what is told of arrives in the same packet as the first answer, which takes a client by surprise.
 */
export async function callsDuring(port: number, ignored: string, work: () => Promise<void>): Promise<Calls> {
  const calls: Calls = { all: 0, sent: 0 };
  const socket = connect(port, '127.0.0.1').setEncoding('latin1');
  await once(socket, 'connect');
  const answered = once(socket, 'data');
  let rest = '';
  socket.on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\r\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      const [, source, command] = /^\+[\d.]+ \[\d+ (\S+)\] "([^"]+)"/.exec(line) ?? [];
      if (source === undefined || command?.toLowerCase() === ignored) continue;
      calls.all++;
      if (source !== 'lua') calls.sent++;
    }
  });
  socket.write('MONITOR\r\n');
  await answered;
  await work();
  // The last calls are still on their way here.
  await pause(50);
  socket.destroy();
  return calls;
}
