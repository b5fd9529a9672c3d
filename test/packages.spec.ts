import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { expect, it } from '@jest/globals';
import * as common from '@nestjs/common';
import { Injectable } from '@nestjs/common/decorators/core/injectable.decorator.js';
import { NestFactory } from '@nestjs/core';
import { Redis } from 'ioredis';
import * as rxjs from 'rxjs';
import { badOption } from '../libs/weave/options.js';

const require = createRequire(import.meta.url);

@common.Module({})
class Root {}

it('a bundled package has one copy, whichever path leads to it', async () => {
  expect(Injectable).toBe(common.Injectable);
  expect((await import('@nestjs/common')).Injectable).toBe(common.Injectable);
  expect((require('rxjs') as typeof rxjs).Observable).toBe(rxjs.Observable);
  expect((require('ioredis/built/Redis.js') as { default: typeof Redis }).default).toBe(Redis);
});

it('a package that is not bundled meets the bundled ones', async () => {
  const { HealthCheckService } = await import('@nestjs/terminus');
  expect(Reflect.getMetadata('design:paramtypes', HealthCheckService)).toBeDefined();
  const { ApiProperty } = await import('@nestjs/swagger');
  expect(ApiProperty).toBeInstanceOf(Function);
  const app = await NestFactory.create(Root, { logger: false });
  await app.init();
  await app.close();
});

it('a bundled module runs in the context of its spec', () => {
  expect(new common.BadRequestException()).toBeInstanceOf(Error);
  expect(new rxjs.Observable()).toBeInstanceOf(Object);
});

it('the sources have one copy too, which runs in the context of its spec', async () => {
  const { SluiceError } = await import('nestjs-sluice/weave');
  const { SluiceError: byPath } = await import('../libs/weave/sluice.error.js');
  expect(byPath).toBe(SluiceError);
  expect(new SluiceError('SLUICE_X', 'x')).toBeInstanceOf(Error);
});

it('a stack tells where a source failed', () => {
  const failed = (): unknown => badOption('a.b', 'a number', 'x').stack;
  const line = readFileSync('libs/weave/options.ts', 'utf8')
    .split('\n')
    .findIndex((text) => text.includes('return new SluiceError'));
  expect(failed()).toContain(`libs/weave/options.ts:${line + 1}:`);
});
