/** Short names for the generated types; nothing here is written by hand twice. */
import type { components } from "./generated";

type Schemas = components["schemas"];
export type Costs = Schemas["Costs"];
export type Coverage = Schemas["Coverage"];
export type EndKind = Schemas["MapNode"]["kind"];
export type FilterCheck = Schemas["FilterCheck"];
export type FlowPage = Schemas["FlowPage"];
export type FlowRow = Schemas["FlowRow"];
export type Inventory = Schemas["Inventory"];
export type LiveEvent = Schemas["LiveEvent"];
export type MapEdge = Schemas["MapEdge"];
export type MapNode = Schemas["MapNode"];
export type NodeCoverage = Schemas["NodeCoverage"];
export type Policies = Schemas["Policies"];
export type PolicyDenied = Schemas["PolicyDenied"];
export type PolicyEdge = Schemas["PolicyEdge"];
export type PolicyEffect = Schemas["PolicyEffect"];
export type PolicyReplay = Schemas["PolicyReplay"];
export type PolicyText = Schemas["PolicyText"];
export type PolicyUnused = Schemas["PolicyUnused"];
export type PricesUsed = Schemas["PricesUsed"];
export type Problem = Schemas["Problem"];
export type ServiceMap = Schemas["ServiceMap"];
export type Session = Schemas["Session"];
export type Top = Schemas["Top"];
export type Window = Schemas["Window"];
export type WorkloadPolicy = Schemas["WorkloadPolicy"];
