import { describeDecoratorMatrix } from '../../../test/support/decorator-matrix.js';
import { TALLY, Tallied, TallyModule, type TallyService } from '../../../test/support/tallied.decorator.js';

describeDecoratorMatrix({
  name: '@Tallied',
  decorate: (key) => Tallied(key),
  imports: () => [TallyModule],
  callsTaken: (app) => app.get<TallyService>(TALLY).calls.length,
});
