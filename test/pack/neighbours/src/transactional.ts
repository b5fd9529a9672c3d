/** `@WithLock` around `@Transactional` of nestjs-cls: the lock is held until the transaction has been committed. */
import assert from 'node:assert/strict';
import { Injectable } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ClsModule } from 'nestjs-cls';
import {
  ClsPluginTransactional,
  Transactional,
  TransactionHost,
  type TransactionalAdapter,
} from '@nestjs-cls/transactional';
import { CacheEvict, CacheStampedeSafe, LockService, WithLock } from 'nestjs-sluice';
import { check, moduleOf, sluice } from './check.js';

interface Tx {
  readonly id: number;
}

class Database {
  static log: string[] = [];
  static locks: LockService | undefined;
}

/** As the adapters for databases are, with a log in place of the database. */
class LogAdapter implements TransactionalAdapter<object, Tx, object> {
  connectionToken = undefined as never;
  optionsFactory = () => {
    let transactions = 0;
    return {
      wrapWithTransaction: async (
        _options: object,
        body: (...args: never[]) => Promise<unknown>,
        setTx: (tx?: Tx) => void,
      ) => {
        setTx({ id: ++transactions });
        const result = await body();
        const held = (await Database.locks?.inspect('account')) !== null;
        Database.log.push(`commit ${transactions} ${held ? 'under the lock' : 'without a lock'}`);
        return result;
      },
      getFallbackInstance: () => ({ id: 0 }),
    };
  };
}

@Injectable()
class Account {
  balance = 0;

  constructor(private readonly host: TransactionHost) {}

  @CacheEvict({ key: 'balance' })
  @WithLock('account')
  @Transactional()
  async deposit(amount: number): Promise<number> {
    this.balance += amount;
    return (this.host.tx as Tx).id;
  }

  @CacheStampedeSafe({ key: 'balance' })
  async read(): Promise<number> {
    return this.balance;
  }
}

export const transactional = (): Promise<void> =>
  check('@WithLock around @Transactional is released after the commit, and @CacheEvict comes last', async () => {
    const plugin = new ClsPluginTransactional({ adapter: new LogAdapter() as never });
    const imports = [ClsModule.forRoot({ global: true, plugins: [plugin] }), sluice('tx')];
    const app = await NestFactory.createApplicationContext(moduleOf({ imports, providers: [Account] }), {
      logger: ['error', 'warn'],
    });
    Database.locks = app.get(LockService);
    const account = app.get(Account);
    assert.equal(await account.read(), 0);
    assert.deepEqual((await Promise.all([account.deposit(5), account.deposit(7)])).sort(), [1, 2]);
    assert.deepEqual(Database.log, ['commit 1 under the lock', 'commit 2 under the lock']);
    assert.equal(await account.read(), 12);
    await app.close();
  });
