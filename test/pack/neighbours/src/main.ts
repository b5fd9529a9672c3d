/** The packages that are used beside this one, each with the decorators on its own kind of method. */
import 'reflect-metadata';
import { cqrs } from './cqrs.js';
import { documented } from './documented.js';
import { graphql } from './graphql.js';
import { scheduled } from './scheduled.js';
import { tested } from './tested.js';
import { transactional } from './transactional.js';
import { transports } from './transports.js';

async function main(): Promise<void> {
  const ticking = scheduled(); // it takes seconds, most of them waiting
  for (const run of [transactional, cqrs, graphql, transports, documented, tested]) await run();
  await ticking;
}

void main();
