export default function FlowsView(_: object) {
  return <main />;
}
