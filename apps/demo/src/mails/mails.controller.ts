import { Body, Controller, HttpCode, HttpStatus, Post } from '@nestjs/common';
import { IsArray, IsString } from 'class-validator';
import { QueueService } from 'nestjs-sluice';
import { Mails, SentCampaigns } from './mails.js';

class CampaignDto {
  @IsString()
  name!: string;

  @IsArray()
  @IsString({ each: true })
  addresses!: string[];
}

class ReviewDto {
  @IsString()
  text!: string;
}

@Controller()
export class MailsController {
  constructor(private readonly queue: QueueService) {}

  /** One task for each letter, and one more when all of them have ended. */
  @Post('campaigns')
  @HttpCode(HttpStatus.ACCEPTED)
  async campaign(@Body() { name, addresses }: CampaignDto): Promise<{ letters: number }> {
    const letters = addresses.map((to) => ({ campaign: name, to }));
    const whenAllSettled = { queue: SentCampaigns, payload: { campaign: name } };
    await this.queue.publishMany(Mails.tasks.letter, letters, { whenAllSettled });
    return { letters: letters.length };
  }

  /** The owner gets one mail with all reviews of a minute, at the latest with the thirtieth. */
  @Post('reviews')
  @HttpCode(HttpStatus.ACCEPTED)
  async review(@Body() { text }: ReviewDto): Promise<{ outcome: string }> {
    const { outcome } = await this.queue.collect(Mails.tasks.digest, text, { key: 'owner', waitMs: 60_000, max: 30 });
    return { outcome };
  }
}
