export const x_sluice = 1;
