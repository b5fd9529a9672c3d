import { setTimeout as pause } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import { TaskHandler, type Task } from 'nestjs-sluice';
import { Invoices, YearlyExports, type Invoice } from './invoices.js';

/** How long it takes to lay out a page. */
const PAGE_MS = 50;
const PAGES_OF_A_YEAR = 100_000;

@Injectable()
export class InvoicesWorker {
  /** What it returns is the answer of `publishAndWait`, in whichever process that waits. */
  @TaskHandler(Invoices, { concurrency: 2 })
  async invoice({ payload, signal }: Task<{ orderId: string }>): Promise<Invoice> {
    await pause(PAGE_MS, undefined, { signal });
    return { number: `R-${payload.orderId}` };
  }

  /** The signal aborts when the export is cancelled, in whichever process it runs. Every instance can tell how far it is. */
  @TaskHandler(YearlyExports, { concurrency: 1 })
  async exportYear(task: Task<{ year: number }>): Promise<void> {
    for (let page = 1; page <= PAGES_OF_A_YEAR; page++) {
      await pause(PAGE_MS, undefined, { signal: task.signal });
      task.progress({ page, pages: PAGES_OF_A_YEAR });
    }
  }
}
