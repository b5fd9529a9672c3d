import { Module } from '@nestjs/common';
import { DatabaseModule } from '../database/database.module.js';
import { MailsController } from './mails.controller.js';
import { MailsWorker } from './mails.worker.js';

@Module({ imports: [DatabaseModule], controllers: [MailsController], providers: [MailsWorker] })
export class MailsModule {}
