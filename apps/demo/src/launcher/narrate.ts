import type { Fleet } from './fleet.js';
import type { Gateway } from './gateway.js';
import type { Report } from './report.js';
import type { Source } from './source.js';

/** Says what there is to try, and then what the processes do, as the services outside see it. */
export function narrate(report: Report, fleet: Fleet, source: Source, gateway: Gateway): void {
  const order = `'{"product":"tea","amountCents":1990,"card":"fails-once"}'`;
  report.line();
  report.heading('It stays up until Ctrl-C');
  report.table(fleet.apps.map(({ name, url, pid }) => [name, `${url}   pid ${pid}`]));
  report.line();
  report.line('   Ask two processes for one product, the source is asked once:');
  report.line(`     curl ${fleet.url(0)}/products/coffee ${fleet.url(1)}/products/coffee`);
  report.line('   Place an order; the cards are good, fails-once and fails-always:');
  report.line(`     curl ${fleet.url(2)}/orders -H 'content-type: application/json' -d ${order}`);
  report.line('   Kill a process, it is started again:');
  report.line(`     kill -9 ${fleet.apps[0]?.pid ?? 0}`);
  report.line();

  source.onLoad = (product, by) => {
    report.line(`   ${by} loads product ${product}`);
  };
  gateway.onCharge = ({ order: id, by, outcome }) => {
    report.line(`   ${by} charges order ${id}: ${outcome}`);
  };
}
