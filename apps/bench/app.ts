/** Sluice as an app has it: through Nest, at the defaults. */
import 'reflect-metadata';
import { Logger, Module, type INestApplicationContext, type Provider } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { SluiceModule, type SluiceOptions } from 'nestjs-sluice';

Logger.overrideLogger(['error']);

export async function startApp(
  url: string,
  options: Omit<SluiceOptions, 'redis'> = {},
  providers: Provider[] = [],
): Promise<INestApplicationContext> {
  @Module({ imports: [SluiceModule.forRoot({ ...options, redis: { url } })], providers })
  class App {}
  return NestFactory.createApplicationContext(App);
}
