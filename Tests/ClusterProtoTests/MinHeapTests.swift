// The heap against a sorted array.

import ClusterProto
import Testing

@Suite("The least-first heap") struct MinHeapTests {
  @Test("elements come out in order, whatever came in between", arguments: 1...20 as ClosedRange<UInt64>)
  func order(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    var heap = MinHeap<UInt64>()
    var model: [UInt64] = []
    for _ in 0..<500 {
      switch random.below(4) {
      case 0, 1:
        let element = random.below(50)
        heap.insert(element)
        model.append(element)
      case 2:
        heap.removeFirst()
        if !model.isEmpty { model.removeFirst() }
      default:
        let element = random.below(50)
        heap.replaceFirst(with: element)
        if !model.isEmpty { model[0] = element }
      }
      model.sort()
      #expect(heap.first == model.first)
      #expect(heap.count == model.count)
    }
    heap.keep { $0 % 2 == 0 }
    #expect(heap.first == model.first { $0 % 2 == 0 })
  }
}
