import { execFileSync } from 'node:child_process';

const CLIENT = `
const socket = require('node:net').connect(Number(process.argv[1]), '127.0.0.1', () => socket.write(process.argv[2] + '\\r\\n'));
socket.once('data', (reply) => socket.end(() => console.log(String(reply).trim())));
`;

/** Sends a command by another process, and returns the line that answers it. Nothing of this process runs meanwhile. */
export function blockWhileSending(port: number, command: string): string {
  return execFileSync(process.execPath, ['-e', CLIENT, String(port), command], { encoding: 'utf8' }).trim();
}
