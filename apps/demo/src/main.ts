import 'reflect-metadata';
import { ConsoleLogger, ValidationPipe } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { DocumentBuilder, SwaggerModule } from '@nestjs/swagger';
import { AppModule } from './app.module.js';
import { followLauncher } from './launcher/follow.js';
import { settings } from './settings.js';

const app = await NestFactory.create(AppModule, { logger: new ConsoleLogger({ json: true }) });
app.useGlobalPipes(new ValidationPipe({ whitelist: true, forbidNonWhitelisted: true }));
const description = new DocumentBuilder().setTitle('The shop').setDescription('What Sluice is for, in one app').build();
SwaggerModule.setup('docs', app, () => SwaggerModule.createDocument(app, description));
// Without it nothing is drained on SIGTERM.
app.enableShutdownHooks();
await app.listen(settings.port, '127.0.0.1');
followLauncher(await app.getUrl());
