// How much a coordinator takes from one connection: printed, not judged, except that all of it is answered.

import ClusterIO
import ClusterProto
import Coordinator
import CoordinatorCore
import Testing

@Suite("Throughput", .serialized)
struct ThroughputTests {
  private func measure(_ what: String, count: Int64, _ request: (Int64) -> APIRequest) throws {
    let live = try LiveServer(try TemporaryDirectory())
    let client = try live.open(.client)
    let clock = ContinuousClock()
    var answered: Int64 = 0
    let duration = try clock.measure {
      var sent: Int64 = 0
      try live.wait("all are answered") {
        // As many open requests as a connection may have, less a margin.
        while sent < count, sent - answered < 200 {
          client.send(ClientMessage.request(id: sent, request(sent)).json)
          sent += 1
        }
        answered += Int64(client.takeMessages().filter { $0["type"] == "done" }.count)
        return answered == count
      }
    }
    let seconds = Double(duration.components.seconds) + Double(duration.components.attoseconds) / 1e18
    print("throughput: \(count) \(what) in \(duration): \(Int(Double(count) / seconds)) a second")
    try live.stop()
  }

  @Test("reads from one connection")
  func reads() throws {
    try measure("reads", count: 5_000) { _ in APIRequest(verb: .get, kind: .namespaces, name: "default") }
  }

  @Test("creates from one connection")
  func creates() throws {
    try measure("creates", count: 2_000) { id in
      APIRequest(
        verb: .create, kind: .configmaps, namespace: "default",
        body: [
          "apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": .string("map-\(id)")],
          "data": ["text": .string(String(repeating: "x", count: 1_000))],
        ])
    }
  }

  @Test("requests one after the other")
  func latency() throws {
    let live = try LiveServer(try TemporaryDirectory())
    let client = try live.open(.client)
    let clock = ContinuousClock()
    var times: [Duration] = []
    for id in Int64(0)..<300 {
      let start = clock.now
      client.send(
        ClientMessage.request(
          id: id,
          APIRequest(
            verb: .create, kind: .configmaps, namespace: "default",
            body: ["apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": .string("map-\(id)")]])
        ).json)
      try live.wait("it is answered") { !client.takeMessages().isEmpty }
      times.append(clock.now - start)
    }
    times.sort()
    print("throughput: one create at a time: p50 \(times[150]), p99 \(times[297])")
    try live.stop()
  }
}
