/** A curve as an SVG picture, drawn by Apache ECharts on the server's side. */
import type { Curve, Series } from './bench.js';
import { peer } from './peer.js';

interface ECharts {
  init(
    element: null,
    theme: null,
    options: { renderer: 'svg'; ssr: true; width: number; height: number },
  ): { setOption(option: object): void; renderToSVGString(): string; dispose(): void };
}

export async function plot({ title, x, y, scale }: Curve, series: Series): Promise<string> {
  const echarts = (await peer('echarts')) as ECharts;
  const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width: 760, height: 420 });
  const axis = (name: string, type: 'value' | 'log') => ({
    type,
    name,
    nameLocation: 'middle',
    nameGap: 44,
    axisLabel: { formatter: (value: number) => value.toLocaleString('en') },
    splitLine: { lineStyle: { color: '#e4e4e4' } },
  });
  chart.setOption({
    animation: false,
    backgroundColor: '#ffffff',
    title: { text: title, left: 'center', top: 8, textStyle: { fontSize: 15 } },
    legend: { bottom: 6 },
    grid: { left: 92, right: 36, top: 52, bottom: 96 },
    xAxis: { ...axis(x, scale?.x ? 'value' : 'log'), nameGap: 28, minInterval: 1 },
    yAxis: { ...axis(y, scale?.y ? 'value' : 'log'), nameGap: 68 },
    series: Object.entries(series).map(([name, data]) => ({ name, type: 'line', symbolSize: 7, data })),
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return `${svg}\n`;
}
