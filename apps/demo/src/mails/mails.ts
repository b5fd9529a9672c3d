import { defineQueue, payload, type FailedTask, type SettledTasks } from 'nestjs-sluice';

export interface Letter {
  campaign: string;
  to: string;
}

/** One queue with two kinds of tasks, each with its own payload, handler and options. */
export const Mails = defineQueue('mails', {
  tasks: {
    letter: payload<Letter>(),
    /** The reviews of a while: many publishes, one mail. */
    digest: payload<string[]>(),
  },
});

/** Letters that will never arrive. The hash tag puts the queue into the Cluster slot of `mails`. */
export const Bounces = defineQueue<FailedTask<Letter>>('{mails}.bounces');

/** Campaigns of which every letter was sent or has failed. */
export const SentCampaigns = defineQueue<SettledTasks<{ campaign: string }>>('{mails}.sent');
