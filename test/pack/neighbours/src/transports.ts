/** A hybrid app: message handlers over TCP, and a gateway for WebSockets. */
import assert from 'node:assert/strict';
import { Controller } from '@nestjs/common';
import { APP_FILTER, NestFactory } from '@nestjs/core';
import { ClientProxyFactory, EventPattern, MessagePattern, Payload, Transport } from '@nestjs/microservices';
import { WsAdapter } from '@nestjs/platform-ws';
import { MessageBody, SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import { firstValueFrom } from 'rxjs';
import { WebSocket } from 'ws';
import { CacheStampedeSafe, LockService, SluiceExceptionFilter, WithLock, currentLock } from 'nestjs-sluice';
import { check, freePort, moduleOf, sluice, until } from './check.js';

@Controller()
class Messages {
  static loads = 0;
  static events: string[] = [];

  @MessagePattern('pay')
  @WithLock((id: string) => `pay:${id}`, { waitMs: 200 })
  async pay(@Payload() id: string): Promise<string> {
    return `${id} ${currentLock()?.name}`;
  }

  @MessagePattern('price')
  @CacheStampedeSafe({ key: (id: string) => `price:${id}` })
  async price(@Payload() id: string): Promise<string> {
    return `${id} ${++Messages.loads}`;
  }

  @EventPattern('paid')
  @WithLock('paid')
  async paid(@Payload() id: string): Promise<void> {
    Messages.events.push(`${id} ${currentLock()?.name}`);
  }
}

@WebSocketGateway()
class Gateway {
  @SubscribeMessage('pay')
  @WithLock((id: string) => `ws:${id}`, { waitMs: 200 })
  async pay(@MessageBody() id: string): Promise<{ event: string; data: unknown }> {
    return { event: 'paid', data: `${id} ${currentLock()?.name}` };
  }
}

export const transports = (): Promise<void> =>
  check('message handlers over TCP get an answer for a busy lock, and gateways take locks', async () => {
    const providers = [Gateway, { provide: APP_FILTER, useClass: SluiceExceptionFilter }];
    const app = await NestFactory.create(moduleOf({ imports: [sluice('rpc')], providers, controllers: [Messages] }), {
      logger: ['error', 'warn'],
    });
    app.useWebSocketAdapter(new WsAdapter(app));
    const options = { host: '127.0.0.1', port: await freePort() };
    app.connectMicroservice({ transport: Transport.TCP, options }, { inheritAppConfig: true });
    await app.startAllMicroservices();
    await app.listen(0, '127.0.0.1');

    const client = ClientProxyFactory.create({ transport: Transport.TCP, options });
    const send = (pattern: string, id: string) =>
      Promise.race([
        firstValueFrom(client.send<string>(pattern, id)).catch((error: unknown) => ({ error })),
        new Promise<string>((resolve) => setTimeout(resolve, 30_000, 'no answer').unref()),
      ]);
    assert.equal(await send('pay', '1'), '1 pay:1');
    assert.deepEqual(await Promise.all([send('price', '1'), send('price', '1')]), ['1 1', '1 1']);
    await firstValueFrom(client.emit('paid', '1'), { defaultValue: undefined });
    await until('the event is handled', () => Messages.events.length === 1);
    assert.deepEqual(Messages.events, ['1 paid']);
    const held = await app.get(LockService).acquire('pay:2', { owner: 'somebody-on-a-host' });
    const { error } = (await send('pay', '2')) as { error: { status: string; code: string; message: string } };
    assert.equal(error.code, 'SLUICE_LOCK_TIMEOUT');
    assert.doesNotMatch(JSON.stringify(error), /somebody-on-a-host|pay:2/);
    await held.release();
    client.close();

    const socket = new WebSocket((await app.getUrl()).replace('http', 'ws'));
    const answers: string[] = [];
    socket.on('message', (message) => answers.push(String(message)));
    await new Promise((resolve) => socket.once('open', resolve));
    socket.send(JSON.stringify({ event: 'pay', data: '3' }));
    await until('the gateway answers', () => answers.length === 1);
    assert.deepEqual(JSON.parse(answers[0]!), { event: 'paid', data: '3 ws:3' });
    socket.close();
    await app.close();
  });
