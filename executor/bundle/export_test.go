package bundle

// Dir is where the store is.
func (s *Store) Dir() string { return s.dir }
