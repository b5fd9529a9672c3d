import { post } from '../launcher/requests.js';
import { atMost, equal, type Step } from './step.js';

const LETTERS = 60;
const BOUNCES = 6;
const REVIEWS = 30;
/** As in the app's @TaskHandler. */
const CONNECTIONS = 4;

export interface MailsFigures {
  /** Letters that the provider delivered. */
  delivered: number;
  /** The most letters that it was given at the same time, by all processes. */
  most: number;
  /** Addresses that were written down as unknown. */
  bounced: number;
  /** What the shop was told when the campaign had ended, and how often. */
  reports: number;
  sent: number;
  failed: number;
  /** Mails to the owner, and how many reviews they contain. */
  digests: number;
  reviews: number;
  tookMs: number;
}

/** A campaign within the limits of a provider, of which some letters fail for good; and many reviews in one mail. */
export const mails: Step<MailsFigures> = {
  title: 'Mails: named tasks, a limit of the fleet, failures, what follows, and many in one',
  shows: `A campaign of ${LETTERS} letters, ${BOUNCES} of them to addresses that do not exist. The provider takes ${CONNECTIONS} at a time from all processes. Meanwhile ${REVIEWS} reviews come in, for one mail to the owner.`,

  async play({ fleet, mailProvider, postgres, until }) {
    const started = performance.now();
    const addresses = Array.from({ length: LETTERS }, (_, i) => `${i < BOUNCES ? 'nobody' : 'customer'}-${i}@shop`);
    await Promise.all([
      post(`${fleet.url(0)}/campaigns`, { name: 'spring', addresses }),
      ...Array.from({ length: REVIEWS }, (_, i) => post(`${fleet.url(i)}/reviews`, { text: `review ${i}` })),
    ]);
    const read = async (): Promise<{ bounced: number; reports: number; sent: number; failed: number }> => {
      const { rows } = await postgres.client.query<Awaited<ReturnType<typeof read>>>(WRITTEN);
      return rows[0] ?? { bounced: 0, reports: 0, sent: 0, failed: 0 };
    };
    const owner = /^owner@/;
    await until(async () => {
      const { bounced, reports } = await read();
      return bounced >= BOUNCES && reports > 0 && mailProvider.to(owner).length > 0;
    });
    const digests = mailProvider.to(owner);
    return {
      delivered: mailProvider.to(/^customer/).length,
      most: mailProvider.most,
      ...(await read()),
      digests: digests.length,
      reviews: digests.reduce((sum, { text }) => sum + text.split('\n').length, 0),
      tookMs: Math.round(performance.now() - started),
    };
  },

  judge: ({ delivered, most, bounced, reports, sent, failed, digests, reviews }) => [
    equal('every letter is delivered, or known to be undeliverable', LETTERS, delivered + bounced),
    atMost('letters at a time, from all processes', CONNECTIONS, most),
    equal('addresses that are known to be unknown', BOUNCES, bounced),
    equal('the end of the campaign is told once', 1, reports),
    equal('with the count of those that were sent', LETTERS - BOUNCES, sent),
    equal('and of those that have failed', BOUNCES, failed),
    equal('all reviews are in one mail', REVIEWS, digests === 1 ? reviews : 0),
  ],

  rows: ({ delivered, most, bounced, digests, reviews, tookMs }) => [
    ['letters delivered', delivered],
    ['unknown addresses', bounced],
    ['most at a time', most],
    ['mails with reviews', `${digests} with ${reviews}`],
    ['all done after', `${tookMs} ms`],
  ],
};

const WRITTEN = `
select (select count(*)::int from bounces) as bounced,
       coalesce(sum(reports), 0)::int as reports, coalesce(sum(sent), 0)::int as sent, coalesce(sum(failed), 0)::int as failed
  from campaigns`;
