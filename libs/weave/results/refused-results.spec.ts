import { PassThrough } from 'node:stream';
import { Injectable, StreamableFile } from '@nestjs/common';
import { afterEach, describe, expect, it } from '@jest/globals';
import { of } from 'rxjs';
import { bootApp, closeApps } from '../../../test/support/tallied.app.js';
import { Tallied } from '../../../test/support/tallied.decorator.js';

afterEach(closeApps);

@Injectable()
class Feed {
  @Tallied()
  async get(value: unknown): Promise<unknown> {
    return value;
  }
}

describe('a decorator that holds nothing', () => {
  it.each<[string, () => unknown, RegExp]>([
    ['an Observable', () => of(1), /an Observable, .* lastValueFrom/],
    [
      'a generator',
      async function* () {
        yield await Promise.resolve(1);
      },
      /an async iterable/,
    ],
    ['a stream', () => new PassThrough(), /a stream/],
    ['a file', () => new StreamableFile(new PassThrough()), /a StreamableFile/],
    ['a web stream', () => new ReadableStream(), /a web stream/],
    ['an object with subscribe', () => ({ subscribe: () => {} }), /a subscribe method/],
  ])('refuses a method that returns %s', async (_name, make, message) => {
    const app = await bootApp({ providers: [Feed] });
    const refused = app.get(Feed).get(make());
    await expect(refused).rejects.toMatchObject({ code: 'SLUICE_BAD_RESULT' });
    await expect(refused).rejects.toThrow(/Feed.get \(@Tallied\) returned/);
    await expect(refused).rejects.toThrow(message);
  });

  it('does not leave a refused stream open', async () => {
    const app = await bootApp({ providers: [Feed] });
    const stream = new PassThrough();
    await expect(app.get(Feed).get(stream)).rejects.toMatchObject({ code: 'SLUICE_BAD_RESULT' });
    expect(stream.destroyed).toBe(true);
  });
});
