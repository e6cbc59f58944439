// A binary heap with the least element first. Owns nothing else.

/// Keeps the least element at hand: insert and removal in logarithmic time. Equal elements come in no certain order.
/// Inlinable, so that other modules' compilers know what it holds.
@usableFromInline
package struct MinHeap<Element: Comparable> {
  @usableFromInline
  var elements: [Element]

  /// A heap of these.
  @inlinable
  package init(_ elements: [Element] = []) {
    // A sorted array is a heap.
    self.elements = elements.sorted()
  }

  /// Whether nothing is in it.
  @inlinable
  package var isEmpty: Bool { elements.isEmpty }
  /// How many elements it has.
  @inlinable
  package var count: Int { elements.count }
  /// The least element.
  @inlinable
  package var first: Element? { elements.first }

  /// Adds an element, in logarithmic time.
  @inlinable
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
  @inlinable
  package mutating func removeFirst() {
    guard !elements.isEmpty else { return }
    elements.swapAt(0, elements.count - 1)
    elements.removeLast()
    siftDown()
  }

  /// Puts `element` in the place of the least one; nil removes that.
  @inlinable
  package mutating func replaceFirst(with element: Element?) {
    guard let element, !elements.isEmpty else { return removeFirst() }
    elements[0] = element
    siftDown()
  }

  /// Drops every element that does not meet the condition.
  @inlinable
  package mutating func keep(_ condition: (Element) -> Bool) {
    elements = elements.filter(condition).sorted()
  }

  @inlinable
  mutating func siftDown() {
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
