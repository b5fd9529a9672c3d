import { Test, type TestingModule } from '@nestjs/testing';
import { TALLY, TallyModule, type TallyService } from './tallied.decorator.js';

type Metadata = Parameters<typeof Test.createTestingModule>[0];

const running: TestingModule[] = [];

/** An app with the tally, its providers made and no hook run. */
export function compileApp(metadata: Metadata = {}): Promise<TestingModule> {
  const imports = [TallyModule, ...(metadata.imports ?? [])];
  return Test.createTestingModule({ ...metadata, imports }).compile();
}

/** A booted app with the tally. */
export async function bootApp(metadata: Metadata = {}): Promise<TestingModule> {
  const app = await compileApp(metadata);
  await app.init();
  running.push(app);
  return app;
}

/** For `afterEach`: closes what {@link bootApp} booted. */
export async function closeApps(): Promise<void> {
  for (const app of running.splice(0)) await app.close();
}

export const tallyOf = (app: TestingModule): TallyService => app.get<TallyService>(TALLY);
