/** OpenTelemetry's instrumentation of ioredis: spans name keys, and carry neither values nor payloads. */
import 'reflect-metadata';
import assert from 'node:assert/strict';
import { IORedisInstrumentation } from '@opentelemetry/instrumentation-ioredis';
import { InMemorySpanExporter, NodeTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-node';
import { NestFactory } from '@nestjs/core';

const spans = new InMemorySpanExporter();
const provider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] });
provider.register();
const instrumentation = new IORedisInstrumentation({
  requireParentSpan: false,
  dbStatementSerializer: (name, args) => serializer(name, args),
});
instrumentation.setTracerProvider(provider);
let serializer: (name: string, args: (string | Buffer | number | unknown[])[]) => string = (name) => name;

async function main(): Promise<void> {
  // Loaded when the instrumentation is in place, as an app's tracing file has it. It sees what is required, and not what
  // ES modules import.
  await import('ioredis');
  const { CacheService, LockService, QueueService, redisStatement } = await import('nestjs-sluice');
  const { check, moduleOf, sluice } = await import('./check.js');
  serializer = redisStatement as typeof serializer;
  await check('spans of ioredis name keys and no values', async () => {
    const app = await NestFactory.createApplicationContext(moduleOf({ imports: [sluice('telemetry')] }), {
      logger: ['error', 'warn'],
    });
    await app.get(LockService).withLock('traced', async () => {});
    await app.get(CacheService).getOrLoad('user:7', () => ({ ssn: 'SECRET-VALUE' }));
    await app.get(CacheService).set('user:8', { ssn: 'SECRET-VALUE' });
    await app.get(QueueService).publish('orders', { pay: 'SECRET-PAYLOAD' });
    await app.get(QueueService).publish('orders', { pay: 'SECRET-PAYLOAD' }, { delayMs: 60_000 });
    await app.close();
    await provider.forceFlush();
    const statements = spans
      .getFinishedSpans()
      .map(({ attributes }) => String(attributes['db.statement'] ?? attributes['db.query.text']));
    assert.ok(statements.length > 5, `${statements.length} spans`);
    assert.ok(
      statements.some((statement) => statement.includes('user:7')),
      statements.join('\n'),
    );
    assert.doesNotMatch(statements.join('\n'), /SECRET/);
  });
}

void main();
