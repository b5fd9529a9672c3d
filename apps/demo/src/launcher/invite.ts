import type { ControlRoom } from './control-room.js';
import type { Fleet } from './fleet.js';
import type { Report } from './report.js';

/** Says what there is to see and to try. */
export function invite(report: Report, fleet: Fleet, { url }: ControlRoom): void {
  const order = `'{"productId":1,"customerId":1,"quantity":2,"card":"fails-once"}'`;
  report.line();
  report.heading(`It stays up until Ctrl-C. See it work at ${url}`);
  report.table(fleet.apps.map((app) => [app.name, `${app.url}   pid ${app.pid}`]));
  report.line();
  report.line('   Its API, to try in the browser:');
  report.line(`     ${fleet.url(0)}/docs`);
  report.line('   Ask two processes for one list, Postgres is asked once:');
  report.line(`     curl ${fleet.url(0)}/categories/1/bestsellers ${fleet.url(1)}/categories/1/bestsellers`);
  report.line('   Place an order; the cards are good, fails-once and fails-always:');
  report.line(`     curl ${fleet.url(2)}/orders -H 'content-type: application/json' -d ${order}`);
  report.line('   Kill a process, it is started again:');
  report.line(`     kill -9 ${fleet.apps[0]?.pid ?? 0}`);
  report.line();
}
