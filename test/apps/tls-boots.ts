/** Boots apps whose Redis, or whose Sentinel, shows a certificate that is not trusted. */
import { NestFactory } from '@nestjs/core';
import { SluiceModule, type ConnectionOptions } from 'nestjs-sluice';
import { serve } from '../support/app-host.js';

serve({
  ops: {
    /** Answers the errors of so many boots. On a busy machine some get no answer in their time, and are repeated. */
    boot: async (redis: ConnectionOptions, times: number): Promise<string[]> => {
      const errors: string[] = [];
      while (errors.length < times) {
        const options = { abortOnError: false, logger: false as const };
        const boot = NestFactory.createApplicationContext(SluiceModule.forRoot({ redis }), options);
        const told = await boot.then(
          () => 'it booted',
          (error: unknown) => String(error),
        );
        if (!told.includes('no answer')) errors.push(told);
      }
      return errors;
    },
  },
});
