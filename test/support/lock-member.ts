import 'reflect-metadata';
import { Module, type ModuleMetadata, type INestApplicationContext, type NestApplicationOptions } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { LockService, SluiceLockModule, type SluiceLockModuleOptions } from 'nestjs-sluice/lock';
import { REDIS_CONNECTIONS, SluiceRedisModule, type RedisConnections } from 'nestjs-sluice/redis';

/** One instance of an app with locks, as a fleet has several. */
export interface LockMember {
  readonly app: INestApplicationContext;
  readonly locks: LockService;
  readonly connections: RedisConnections;
}

export interface LockMemberOptions {
  lock?: SluiceLockModuleOptions;
  namespace?: string;
  /** Further parts of the app's module. */
  module?: ModuleMetadata;
  commandTimeoutMs?: number;
}

/** Boots one instance. Several of one test process are told apart by their connections, as those of several are. */
export async function lockMember(url: string, options: LockMemberOptions = {}): Promise<LockMember> {
  const { lock = {}, namespace, module = {}, commandTimeoutMs = 5_000 } = options;
  @Module({
    ...module,
    imports: [
      SluiceRedisModule.forRoot({ redis: { url, commandTimeoutMs }, ...(namespace !== undefined && { namespace }) }),
      // Specs hold locks when they end.
      SluiceLockModule.forRoot({ drainMs: 0, ...lock }),
      ...(module.imports ?? []),
    ],
  })
  class Member {}
  const quiet: Readonly<NestApplicationOptions> = { logger: false, abortOnError: false };
  const app = await NestFactory.createApplicationContext(Member, quiet);
  return { app, locks: app.get(LockService), connections: app.get<RedisConnections>(REDIS_CONNECTIONS) };
}
