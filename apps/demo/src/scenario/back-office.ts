import type { Client } from 'pg';
import { get, lines, patch, post, remove } from '../launcher/requests.js';
import type { Fleet } from '../launcher/fleet.js';
import { atLeast, atMost, equal, type Step } from './step.js';

const PRODUCTS = 10;
const CHANGES_EACH = 10;
const INVOICES = 30;

export interface BackOfficeFigures {
  changes: number;
  /** Products whose price in the index is the price of the last change. */
  indexed: number;
  /** Statements by which the index was written. */
  statements: number;
  invoices: number;
  /** Answered with the invoice's own number. */
  answered: number;
  /** Answered with 503, because too many waited. */
  refused: number;
  /** What the cancel of an export that runs answered, and where the export was afterwards. */
  cancel: string;
  exportState: string;
  /** The page that the export had reached, as an instance told live that did not run it, or did. */
  page: number;
  /** Instants of the schedule from the first to the last report, and those without one. */
  instants: number;
  missed: number;
  /** In how many processes the reports were written. */
  writers: number;
  tookMs: number;
}

/** What runs behind the shop: each part is one option or call of a queue. */
export const backOffice: Step<BackOfficeFigures> = {
  title: 'The back office: debounced batches, results, a full queue, a cancel, a schedule',
  shows: `${PRODUCTS} products change their prices ${CHANGES_EACH} times and are indexed in bulk. ${INVOICES} customers wait for an invoice. An export of a year is cancelled. A report is due each second since the start, and one process was killed meanwhile.`,

  async play({ fleet, postgres, until }) {
    const started = performance.now();
    const statementsBefore = await statements(fleet);
    const [replies, cancelled] = await Promise.all([
      invoices(fleet),
      cancelAnExport(fleet, until),
      changePrices(fleet),
    ]);
    await until(async () => (await indexed(postgres.client)) >= PRODUCTS);
    await until(async () => (await reports(postgres.client)).missed === 0);
    return {
      changes: PRODUCTS * CHANGES_EACH,
      indexed: await indexed(postgres.client),
      statements: (await statements(fleet)) - statementsBefore,
      invoices: INVOICES,
      answered: replies.filter(
        ({ status, body }, i) => status === 201 && (body as { number: string }).number === `R-${i}`,
      ).length,
      refused: replies.filter(({ status }) => status === 503).length,
      ...cancelled,
      ...(await reports(postgres.client)),
      tookMs: Math.round(performance.now() - started),
    };
  },

  judge: ({
    changes,
    indexed,
    statements,
    invoices,
    answered,
    refused,
    cancel,
    exportState,
    page,
    instants,
    missed,
  }) => [
    equal('products that are indexed with their last price', PRODUCTS, indexed),
    atMost('statements for all changes', changes / 2, statements),
    equal('each invoice has its number, or is refused at once', invoices, answered + refused),
    atLeast('invoices with their numbers', 1, answered),
    equal('the running export is aborted', 1, cancel === 'aborting' ? 1 : 0),
    equal('and gone', 1, exportState === 'gone' ? 1 : 0),
    atLeast('pages of it that were told live', 1, page),
    atLeast('reports since the start', 2, instants),
    equal('seconds without a report', 0, missed),
  ],

  rows: ({ changes, statements, answered, refused, cancel, page, instants, missed, writers, tookMs }) => [
    ['changes of prices', `${changes} in ${statements} bulk statements`],
    ['invoices', `${answered} and ${refused} refused`],
    ['export', `told page ${page} live; its cancel: ${cancel}`],
    ['reports', `${instants - missed} of ${instants}, by ${writers} processes`],
    ['all done after', `${tookMs} ms`],
  ],
};

async function changePrices(fleet: Fleet): Promise<void> {
  for (let change = 1; change <= CHANGES_EACH; change++) {
    await Promise.all(
      Array.from({ length: PRODUCTS }, (_, i) =>
        patch(`${fleet.url(i + change)}/products/${i + 1}`, { priceCents: 1_000 * change + i }),
      ),
    );
  }
}

const invoices = (fleet: Fleet) =>
  Promise.all(Array.from({ length: INVOICES }, (_, i) => post(`${fleet.url(i)}/invoices`, { orderId: String(i) })));

async function cancelAnExport(
  fleet: Fleet,
  until: (condition: () => Promise<boolean>) => Promise<boolean>,
): Promise<{ cancel: string; exportState: string; page: number }> {
  const { body } = await post(`${fleet.url(0)}/exports`, { year: 2026 });
  const { id } = body as { id: string };
  const state = async (turn: number): Promise<string> =>
    ((await get(`${fleet.url(turn)}/exports/${id}`)).body as { state: string }).state;
  await until(async () => (await state(1)) === 'running');
  const page = await livePage(`${fleet.url(1)}/exports/${id}/live`);
  const reply = await remove(`${fleet.url(2)}/exports/${id}`);
  await until(async () => (await state(1)) === 'gone');
  return { cancel: (reply.body as { outcome: string }).outcome, exportState: await state(1), page };
}

/** Listens until the first page is told. */
async function livePage(url: string): Promise<number> {
  for await (const text of lines(url)) {
    const data = text.startsWith('data: ') ? (JSON.parse(text.slice(6)) as { value?: { page: number } }) : {};
    if (data.value) return data.value.page;
  }
  return 0;
}

async function statements(fleet: Fleet): Promise<number> {
  const replies = await Promise.all(fleet.apps.map(({ url }) => get(`${url}/stats`)));
  return replies.reduce(
    (sum, { body }) => sum + ((body as { queries: Record<string, number> }).queries['index products'] ?? 0),
    0,
  );
}

async function indexed(postgres: Client): Promise<number> {
  const { rows } = await postgres.query<{ count: number }>(
    `select count(*)::int as count from search_index s join products p on p.id = s.product_id
      where p.price_cents = s.price_cents and p.id <= $1 and p.price_cents = $2 * 1000 + p.id - 1`,
    [PRODUCTS, CHANGES_EACH],
  );
  return rows[0]?.count ?? 0;
}

async function reports(postgres: Client): Promise<{ instants: number; missed: number; writers: number }> {
  const { rows } = await postgres.query<{ instants: number; missed: number; writers: number }>(
    `select coalesce((max(at) - min(at)) / 1000 + 1, 0)::int as instants,
            coalesce((max(at) - min(at)) / 1000 + 1 - count(*), 0)::int as missed,
            count(distinct written_by)::int as writers from stock_reports`,
  );
  return rows[0] ?? { instants: 0, missed: 0, writers: 0 };
}
