import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { AppModule } from './app.module.js';
import { followLauncher } from './launcher/follow.js';
import { settings } from './settings.js';

const app = await NestFactory.create(AppModule);
// Without it nothing is drained on SIGTERM.
app.enableShutdownHooks();
await app.listen(settings.port, '127.0.0.1');
followLauncher(await app.getUrl());
