import { describe, expect, it } from '@jest/globals';
import { RATED_SCRIPTS, rateCosts } from '../../../../test/model/rate-costs.js';
import { RatedScriptBed } from '../../../../test/model/rated-script-bed.js';
import { growthOf } from '../../../../test/support/script-costs.js';

const bed = new RatedScriptBed();
const rows = rateCosts(bed);

describe('the commands of scripts for rates of keys', () => {
  it.each(rows)('%s: by the number of %s they are %s', async (_, __, growth, prepare) => {
    expect(await growthOf(bed.admin, 20, prepare)).toBe(growth);
  });

  it('were counted for all of them', () => {
    expect(new Set(rows.map(([name]) => name))).toEqual(new Set(RATED_SCRIPTS));
  });
});
