package config

import "reflect"

// Value gives the setting at a path of Fields, nil when there is none.
func (c *Config) Value(path string) any {
	for _, f := range Fields() {
		if f.Path == path {
			return reflect.ValueOf(c).Elem().FieldByIndex(f.index).Interface()
		}
	}
	return nil
}
