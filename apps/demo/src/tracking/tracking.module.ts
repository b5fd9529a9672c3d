import { Module } from '@nestjs/common';
import { TrackingController } from './tracking.controller.js';
import { TrackingWorker } from './tracking.worker.js';

@Module({ controllers: [TrackingController], providers: [TrackingWorker] })
export class TrackingModule {}
