/**
 * For apps that keep `@nestjs/throttler`: `SluiceThrottlerStorage`.
 *
 * @packageDocumentation
 */

export { SluiceThrottlerStorage, type ThrottlerRecord } from './sluice-throttler.storage.js';
