import { Module } from '@nestjs/common';
import { WebhooksController } from './webhooks.controller.js';
import { WebhooksWorker } from './webhooks.worker.js';

@Module({ controllers: [WebhooksController], providers: [WebhooksWorker] })
export class WebhooksModule {}
