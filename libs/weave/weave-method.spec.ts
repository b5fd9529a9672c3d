import 'reflect-metadata';
import { Injectable } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { describe, expect, it } from '@jest/globals';
import { brandService, weaveMethod } from './index.js';

const TOKEN = 'test:service';
class Service {
  calls = 0;
  constructor() {
    brandService(this, TOKEN);
  }
}
const Woven = () =>
  weaveMethod<Service>({ decorator: '@Woven', token: TOKEN }, (service, call) => {
    service.calls += 1;
    return call.proceed();
  });

@Injectable()
class Shop {
  name = 'corner';
  @Woven()
  async greet(who: string): Promise<string> {
    return `${this.name} greets ${who}`;
  }
}

describe('weaveMethod', () => {
  it('hands the call to the service of the app', async () => {
    const module = await Test.createTestingModule({
      providers: [Shop, { provide: TOKEN, useClass: Service }],
    }).compile();
    await expect(module.get(Shop).greet('Ada')).resolves.toBe('corner greets Ada');
    expect(module.get<Service>(TOKEN).calls).toBe(1);
  });
});
