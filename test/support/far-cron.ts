/** Cron expressions whose times are so far from now that none passes while a test runs. */
const now = new Date();

/** Once a day, half a day from now. Its last time was less than 25 hours ago. */
export const DAILY = `0 0 ${(now.getHours() + 12) % 24} * * *`;

/** Once a year, half a year from now. */
export const YEARLY = `0 0 1 ${((now.getMonth() + 6) % 12) + 1} *`;
