// What a node has for pods where some of it is kept back, and the words where that is nothing.

import ClusterIO
import ClusterProto
import Testing

@testable import NodeAgent

@Suite("What is kept back from pods")
struct NodeRestTests {
  private static let whole = NodeCapacity(
    cpuMillicores: 4_000, memoryBytes: 8 << 30, pods: 10, storageBytes: 100 << 30)

  @Test("the rest is what pods get, and what is not known stays so")
  func rest() throws {
    let reserve = NodeReserve(cpuMillicores: 500, memoryBytes: 1 << 30, storageBytes: 20 << 30)
    let rest = try reserve.rest(of: Self.whole)
    #expect(rest.cpuMillicores == 3_500 && rest.memoryBytes == 7 << 30 && rest.storageBytes == 80 << 30)
    var unknown = Self.whole
    unknown.storageBytes = nil
    #expect(try reserve.rest(of: unknown).storageBytes == nil)
  }

  @Test("each resource of which nothing is left is named, with what was kept back of how much")
  func nothing() {
    let all = NodeReserve(cpuMillicores: 4_000, memoryBytes: 1 << 40, storageBytes: 20 << 30)
    let error = #expect(throws: IOError.self) { _ = try all.rest(of: Self.whole) }
    #expect(
      error?.description
        == "--reserve: no cpu (4 of 4 are kept back), no memory (1Ti of 8Gi are kept back) is left for pods: keep less "
        + "back")
    let disk = NodeReserve(cpuMillicores: 0, memoryBytes: 0, storageBytes: 100 << 30)
    let message = #expect(throws: IOError.self) { _ = try disk.rest(of: Self.whole) }?.message
    #expect(message?.hasPrefix("no ephemeral-storage (100Gi of 100Gi are kept back) is left") == true)
  }
}
