// A binary heap with the least element first. Owns nothing else.

/// Keeps the least element at hand: insert and removal in logarithmic time. Equal elements come in no certain order.
package struct MinHeap<Element: Comparable> {
  private var elements: [Element]

  /// A heap of these.
  package init(_ elements: [Element] = []) {
    // A sorted array is a heap.
    self.elements = elements.sorted()
  }

  /// Whether nothing is in it.
  package var isEmpty: Bool { elements.isEmpty }
  /// How many elements it has.
  package var count: Int { elements.count }
  /// The least element.
  package var first: Element? { elements.first }

  /// Adds an element, in logarithmic time.
  package mutating func insert(_ element: Element) {
    elements.append(element)
    var child = elements.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard elements[child] < elements[parent] else { return }
      elements.swapAt(child, parent)
      child = parent
    }
  }

  /// Removes the least element, if there is one.
  package mutating func removeFirst() {
    guard !elements.isEmpty else { return }
    elements.swapAt(0, elements.count - 1)
    elements.removeLast()
    siftDown()
  }

  /// Puts `element` in the place of the least one; nil removes that.
  package mutating func replaceFirst(with element: Element?) {
    guard let element, !elements.isEmpty else { return removeFirst() }
    elements[0] = element
    siftDown()
  }

  /// Drops every element that does not meet the condition.
  package mutating func keep(_ condition: (Element) -> Bool) {
    elements = elements.filter(condition).sorted()
  }

  private mutating func siftDown() {
    var parent = 0
    while true {
      let left = parent * 2 + 1
      guard left < elements.count else { return }
      let right = left + 1
      let least = right < elements.count && elements[right] < elements[left] ? right : left
      guard elements[least] < elements[parent] else { return }
      elements.swapAt(least, parent)
      parent = least
    }
  }
}

extension MinHeap: Sendable where Element: Sendable {}
