import { Injectable } from '@nestjs/common';
import { TaskHandler, type FailedTask, type SettledTasks, type Task } from 'nestjs-sluice';
import { Database } from '../database/database.js';
import { settings } from '../settings.js';
import { Bounces, Mails, SentCampaigns, type Letter } from './mails.js';

/** What the mail provider takes from all our processes together. */
const CONNECTIONS = 4;

@Injectable()
export class MailsWorker {
  constructor(private readonly database: Database) {}

  /** The fleet never sends more letters at a time than the provider takes. Those that wait hold no place in any process. */
  @TaskHandler(Mails.tasks.letter, { concurrency: { fleet: CONNECTIONS }, deadLetterTo: Bounces })
  async letter(task: Task<Letter>): Promise<void> {
    const { to, campaign } = task.payload;
    const status = await this.send({ id: task.id, to, text: `Our news: ${campaign}` }, task.signal);
    if (status === 422) task.deadLetter('no such address');
    if (status !== 200) throw new Error(`the mail provider answered ${status}`);
  }

  @TaskHandler(Mails.tasks.digest)
  async digest({ id, payload: reviews, signal }: Task<string[]>): Promise<void> {
    await this.send({ id, to: 'owner@shop', text: reviews.join('\n') }, signal);
  }

  /** Published in the step in which a letter was given up: no process can die in between. */
  @TaskHandler(Bounces)
  async bounced({ payload: { payload: letter, reason } }: Task<FailedTask<Letter>>): Promise<void> {
    await this.database.query('bounce', BOUNCE, [letter.to, reason]);
  }

  /** Published in the step in which the last letter was sent or given up, once. */
  @TaskHandler(SentCampaigns)
  async sent({ payload: { payload, counts } }: Task<SettledTasks<{ campaign: string }>>): Promise<void> {
    await this.database.query('campaign', CAMPAIGN, [payload.campaign, counts.completed, counts.failed]);
  }

  private async send(mail: { id: string; to: string; text: string }, signal: AbortSignal): Promise<number> {
    const response = await fetch(`${settings.mailUrl}/mails`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'user-agent': settings.instance },
      body: JSON.stringify(mail),
      signal,
    });
    await response.arrayBuffer();
    return response.status;
  }
}

const BOUNCE = 'insert into bounces (address, reason) values ($1, $2) on conflict do nothing';
/** A task may run twice: what it writes is the same then. */
const CAMPAIGN = `
insert into campaigns (name, sent, failed) values ($1, $2, $3)
on conflict (name) do update set reports = campaigns.reports + 1`;
